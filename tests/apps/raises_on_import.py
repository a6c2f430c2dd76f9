"""An application whose import fails."""

raise RuntimeError("the import refuses")
