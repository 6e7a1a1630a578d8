"""A contract for import-linter that it does not ship: use only named parts of another package.

`forbidden` needs the list of what is forbidden, so a module added to the SDK tomorrow would be allowed until somebody
remembers to add it. This one names what is allowed.

It looks at direct imports only: what `tercio.rpc` imports in turn is the SDK's own affair.
"""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedSubpackages(Contract):
    """Fails if `importer` or anything below it imports a part of `imported` that is not listed in `allowed`.

    What is below one of the `exempt` modules may import anything.
    """

    type_name = "allowed_subpackages"

    importer = fields.StringField()
    imported = fields.StringField()
    allowed = fields.ListField(subfield=fields.StringField())
    exempt = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        importer, imported = str(self.importer), str(self.imported)
        allowed = [str(module) for module in self.allowed]  # type: ignore[attr-defined]  # a field is a descriptor
        exempt = [str(module) for module in self.exempt]  # type: ignore[attr-defined]  # as above
        broken = [
            f"{module} -> {target}"
            for module in sorted({importer, *graph.find_descendants(importer)})
            if not any(_within(module, part) for part in exempt)
            for target in sorted(graph.find_modules_directly_imported_by(module))
            if _within(target, imported) and not any(_within(target, part) for part in allowed)
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["broken"]:
            output.print_error(line)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
