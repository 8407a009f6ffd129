"""Lists, parameters and templates in Valkey or Redis, with versions, and what is made of them here.

``address``   the cache's URL: checked, connected to, shown without its password
``keys``      the names under which things lie in the cache
``content``   what is in force at one moment: what the engine reads
``store``     writing: whole lists or none of it, versions, their history
``documents`` parameters, values of rules and templates as JSON
``copies``    local copies, kept fresh by the server's invalidations; last known where the cache is away
``library``   where a worker's lists come from: the cache, or a folder
``reading``   files to the entries of a list; ``ofac`` OFAC's
``results``   intermediate results of accounts, written for others; what was seen
``kept``      the same on the disk, by version: for a start without the cache, and for going on as before a crash
"""
