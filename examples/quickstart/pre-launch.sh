#!/bin/sh
# Runs in the CVM before docker compose. Sending one of our own is what makes the compose hash predictable.
echo "starting"
