"""What lies in the home of every session's OpenCode from the beginning: paths there, and contents.

The home is a folder of the workspace. How it comes there is each engine's business.
"""

import json

HOME = ".home"
# OpenCode (1.18.33) fetches the package that plugins are written with into each configuration
# folder whose lock file does not name it: for every session 31 MB from the registry, 90 MB of disk,
# 140 MB of memory and seconds of a core, just when it is first used. Who writes plugins for all
# projects names what they need in a package.json there, and it is fetched then.
_PLUGIN = "@opencode-ai/plugin"
_CONFIGURATION = ".config/opencode"
_LOCK = {"lockfileVersion": 3, "packages": {"": {"dependencies": {_PLUGIN: "*"}}}}
FOLDERS = (".config", _CONFIGURATION, f"{_CONFIGURATION}/node_modules")
FILES = {
    # The workspace may be a repository: the home is none of its files.
    ".gitignore": "*\n",
    f"{_CONFIGURATION}/package-lock.json": json.dumps(_LOCK),
}
