"""That a wheel holds both packages with their type markers and data, and nothing else."""

import sys
import zipfile

NEEDED = {
    "jitgraph/__init__.py",
    "jitgraph/py.typed",
    "jitgraph/data/digits.npz",
    "jitgraph_codegen/__init__.py",
    "jitgraph_codegen/py.typed",
}

names = set(zipfile.ZipFile(sys.argv[1]).namelist())
missing = NEEDED - names
strangers = {n for n in names if not n.startswith(("jitgraph/", "jitgraph_codegen/", "jitgraph-"))}
if missing or strangers:
    sys.exit(f"{sys.argv[1]}: missing {sorted(missing)}, unexpected {sorted(strangers)}")
print(f"{len(names)} files, none missing, none unexpected")
