"""The back end of jitgraph: loop nests to Python source to machine code.

It knows nothing of graphs or Tensors; what it is given are `loop_ir.Kernel`s and program texts.
"""
