"""The command `tercio`: one file a verb group; `main` puts them together, `output` renders what they found.

Services add verbs by entry points of the group `tercio.cli`; docs/extend/add-a-cli-verb.md shows how.
"""
