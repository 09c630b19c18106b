"""The machine that a command runs on: devices, memory, the allocator."""
