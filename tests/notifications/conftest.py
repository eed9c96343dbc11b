"""Servers for notifications."""

import pytest

from support.receivers import mail_server, webhook


@pytest.fixture
def hook():
    with webhook() as server:
        yield server


@pytest.fixture
def mail():
    with mail_server() as server:
        yield server
