"""How settings are declared: kind, meaning and default once, in the component that uses them.

A component's settings are a dataclass whose fields are `declared`. What is declared is a key of the configuration file
when the dataclass is one of its sections (`ftpgateway.node.config.sections`); other fields are settings that only
code and tests set.
"""

from raftstore.util.settings.declare import Mistake, declared

__all__ = ["Mistake", "declared"]
