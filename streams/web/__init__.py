"""The worker's web server: who may ask (``access``), what is mounted (``server``), whether the worker is well (``health``)."""
