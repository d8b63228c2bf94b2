"""Engines: bundles that score on clusters and in registries, and what skops must trust.

Here lives what Spark, Dask, MLflow and skops are told of bundles and routers; each is imported by
the module of its name alone. Audits of lazy frames are in `fairuse_router.audit`.
"""
