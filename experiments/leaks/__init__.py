"""The leak study: one model, the same recordings, and only the protocol changes.

`make study CORPORA=FOLDER` runs it; docs/leak-study.md says what came out.
"""
