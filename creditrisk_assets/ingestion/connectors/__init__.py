"""The connectors, one module each; a connector's library is imported only when a source asks for it.

What belongs here: choosing a connector by its configuration. What does not: which files a table is made of (`sources`).
"""
