#!/usr/bin/env python3
"""A command of the old backup tool, done by Larder. Written by `larder shim`; needs backup_restore.sh beside it."""

import os
import sys

script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "backup_restore.sh")
os.execvp("bash", ["bash", script, "COMMAND", *sys.argv[1:]])
