"""Conway's Life on a bounded board, in place."""

import numpy as np


def make(scale=1.0):
    n = max(int(300 * scale**0.5), 6)
    return ((np.random.default_rng(20).random((n, n)) < 0.3).astype(np.uint8),)


def run(board):
    for _ in range(3):
        n = np.zeros(board.shape, dtype=np.uint8)
        n[1:, 1:] += board[:-1, :-1]
        n[1:, :] += board[:-1, :]
        n[1:, :-1] += board[:-1, 1:]
        n[:, 1:] += board[:, :-1]
        n[:, :-1] += board[:, 1:]
        n[:-1, 1:] += board[1:, :-1]
        n[:-1, :] += board[1:, :]
        n[:-1, :-1] += board[1:, 1:]
        board[:] = (n == 3) | ((board == 1) & (n == 2))
    return board.sum()
