"""Views: what the projections made of the log, in a database of their own. Delete them and they come back."""

from crewship.views.runner import Renewal, Views, ViewStore

__all__ = ["Renewal", "ViewStore", "Views"]
