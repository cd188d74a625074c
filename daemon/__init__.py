"""The daemon: one asyncio process that tracks, reconciles and closes synthetic positions."""
