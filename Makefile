# Each line calls the real thing; a machine without make types it itself. `exec` lets signals reach the server.
.PHONY: run test lint e2e lock

run:
	@exec python3 scripts/bootstrap.py run
test:
	@exec python3 scripts/bootstrap.py test
lint:
	@exec python3 scripts/bootstrap.py lint
e2e:
	@exec python3 scripts/bootstrap.py e2e
lock:
	@exec python3 scripts/bootstrap.py lock
