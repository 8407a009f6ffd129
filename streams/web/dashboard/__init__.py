"""The dashboard's server: reads topics as a viewer, keeps a bounded part, and tells browsers.

    topics ──▶ feed ──▶ alerts, overview, rules, grids, custody, reserves     what is kept, as JSON: one module a view
                                  │
                                  └──▶ hub ──▶ one encoding for all clients ──▶ stream (server-sent events)
    browser ──▶ pages (JSON, files) ── contributing: an alert's events, sought in the input topics when asked for

``agents/dashboard`` runs it. It belongs to no consumer group, commits nothing, and writes only alert states that a person sets.
"""
