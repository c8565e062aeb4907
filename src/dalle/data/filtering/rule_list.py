"""All rules, as the modules of `rules` say, in the order they are applied; their settings are the fields of `FilterConfig`."""

import importlib
import pkgutil
from dataclasses import fields, make_dataclass
from types import ModuleType

from dalle.data.filtering import rules

# A rule's module has ORDER (cheap ones first: later rules see only what earlier ones left), WORDS for the report, the
# dataclass Config, and one of two functions, whose details are sentences, '' for a pair that is kept:
#   explain(pairs, config): a detail for each of the pairs, from that pair alone
#   explain_all(parts, config): for rules that compare pairs, or need a model, a list of details for every part
_modules = [importlib.import_module(f"{rules.__name__}.{found.name}") for found in pkgutil.iter_modules(rules.__path__)]
_modules.sort(key=lambda module: (module.ORDER, module.__name__))
RULES: dict[str, ModuleType] = {module.__name__.rpartition(".")[2]: module for module in _modules}

# a key a rule; null switches it off
FilterConfig = make_dataclass(
    "FilterConfig",
    [(name, rule.Config | None) for name, rule in RULES.items()],
    frozen=True,
    kw_only=True,
    namespace={"__doc__": "The settings of every rule, None for one that is switched off.", "__module__": __name__},
)


def rules_on(config: "FilterConfig") -> tuple[str, ...]:
    """The names of the rules that are not switched off, in the order they are applied."""
    return tuple(field.name for field in fields(config) if getattr(config, field.name) is not None)
