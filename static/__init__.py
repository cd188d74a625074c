"""The dashboard: its source, and the prebuilt bundle in `dist` that the daemon serves."""
