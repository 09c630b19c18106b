"""The app: a page on which one photo is upscaled, or degraded, in a browser. Gradio's queue runs the work."""
