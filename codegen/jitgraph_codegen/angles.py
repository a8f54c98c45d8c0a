"""Up to which size an angle is reduced the quick way, by dtype."""

MODERATE = {"float32": 2.0**15, "float64": 2.0**20}
