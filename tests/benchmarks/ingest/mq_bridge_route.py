"""Runs one route of the package mq-bridge until it is ended: the route's document as JSON on standard input."""

import json
import logging
import sys

from mq_bridge import Route, init_logging

logging.basicConfig(level=logging.WARNING)
init_logging("warn")
Route.from_config(json.load(sys.stdin), "readings").run()
