"""Notifications of what happened in a run or to a model: mail, chat, pagers and webhooks, by apprise.

An event becomes a message (`messages`), goes to addresses (`addresses`, `sending`), and is kept until each address has it
(`ledger`, `notifying`). `runs` finds the events of a run.
"""
