"""The CRC-16-CCITT checksum of some bytes, bit by bit."""

import numpy as np


def make(scale=1.0):
    n = max(int(1000 * scale), 10)
    return np.random.default_rng(8).integers(0, 256, n).astype(np.uint8), 0x8408


def run(data, polynomial):
    crc = 0xFFFF
    for byte in data:
        current = 0xFF & byte
        for _ in range(8):
            if (crc & 1) ^ (current & 1):
                crc = (crc >> 1) ^ polynomial
            else:
                crc >>= 1
            current >>= 1
    crc = ~crc & 0xFFFF
    return ((crc << 8) | ((crc >> 8) & 0xFF)) & 0xFFFF
