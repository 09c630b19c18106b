"""Pictures and figures of degradation recipes."""
