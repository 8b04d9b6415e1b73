"""Monitors that were withdrawn: what they left behind is forgotten and expires as before."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import structlog

from service.pages import paged
from service.ports import Store
from service.records import Declaration, DeclarationState
from service.settings import PrivacySettings

log = structlog.get_logger()


def left_behind(store: Store) -> Mapping[str, PrivacySettings]:
    """By name, with the rules that were in force last."""
    withdrawn = paged(partial(store.find, Declaration, states=[DeclarationState.WITHDRAWN]))
    return {document.id: _rules(document) for document in withdrawn}


def _rules(document: Declaration) -> PrivacySettings:
    """Those that this driftgate can't read are the default's."""
    try:
        return PrivacySettings.model_validate(document.settings.get("privacy") or {})
    except ValueError as error:
        log.warning("privacy unreadable", monitor=document.id, version=document.version, reason=str(error))
        return PrivacySettings()
