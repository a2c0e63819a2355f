"""The settings of a Django site: as few as will do."""

from __future__ import annotations

from pathlib import Path

BASE_DIR = Path.cwd()  # your project's directory
SECRET_KEY = "only for this example"
TIME_ZONE = "Europe/Berlin"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.sessions", "shop"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "site.sqlite"},
}
