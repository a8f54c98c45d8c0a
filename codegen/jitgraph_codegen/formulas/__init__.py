"""Elementary functions as straight-line formulas over `ir_values.Value`.

No branch and no call, so that a loop around them vectorises; only the reduction of large angles
loads numbers, from constant tables.  Errors stay within one unit in the last place in double
precision, two in single; where the last step would cost more, the value is carried in two parts.

Polynomials are minimax fits by Remez's algorithm, for the functions and intervals that `ir_values`
and the modules here name.  Reductions follow Sun's fdlibm and Muller et al., "Handbook of
Floating-Point Arithmetic" (2nd edition), chapters 4, 10 and 11.
"""
