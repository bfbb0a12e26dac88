"""nginx and HAProxy in front of a server, each with a configuration of its own and no service of the system."""

import pathlib

from harness import LIMIT_SECS, Case, Program, free_port, is_open, wait_for

# Connections over which nothing has gone for so long are cut where a proxy is impatient; elsewhere it has as much patience
# as the tests.
IDLE_SECS = 5
# Below this path nginx is impatient; the server is asked for what comes behind it.
IMPATIENT_PATH = "/impatient/"
NGINX = """
daemon off;
{user}
worker_processes 1;
# Connections that are open when the configuration is read again are cut off after this time.
worker_shutdown_timeout 300ms;
pid {folder}/nginx.pid;
error_log stderr info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
{http}
}}
"""
NGINX_SERVER = """
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen 127.0.0.1:{plain};
    {tls}
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_connect_timeout {limit}s;
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_read_timeout {limit}s;
      proxy_send_timeout {limit}s;
    }}
    location {impatient} {{
      proxy_pass http://127.0.0.1:{upstream}/;
      proxy_read_timeout {idle}s;
      proxy_send_timeout {idle}s;
    }}
  }}
"""
HAPROXY = """
global
  maxconn 256
defaults
  timeout connect {limit}s
  timeout client {limit}s
  timeout server {limit}s
  # Of a check; without it the time between two checks, in which a busy server may not get round to answer.
  timeout check {limit}s
{listeners}
"""
# Settings of a listener that is impatient.
IMPATIENT = f"timeout client {IDLE_SECS}s\n  timeout server {IDLE_SECS}s"


def nginx(case: Case, upstream: int, pair: tuple[str, str] | None = None, with_http2: bool = False) -> tuple[Program, int, int | None]:
    """nginx in front of `upstream`, with TLS if there is a certificate and a key; its plain and its TLS port."""
    plain, over_tls, tls = free_port(), None, ""
    if pair:
        over_tls = free_port()
        tls = f"listen 127.0.0.1:{over_tls} ssl{' http2' if with_http2 else ''}; ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]};"
    http = NGINX_SERVER.format(plain=plain, tls=tls, upstream=upstream, limit=LIMIT_SECS, idle=IDLE_SECS, impatient=IMPATIENT_PATH)
    return start_nginx(case, http, plain), plain, over_tls


def start_nginx(case: Case, http: str, port: int) -> Program:
    """nginx with `http` in its block of that name, once it listens at `port`."""
    # Its workers would be somebody who may not read the files of root.
    user = "user root;" if pathlib.Path("/proc/self").stat().st_uid == 0 else ""
    (case.folder / "nginx.conf").write_text(NGINX.format(folder=case.folder, user=user, http=http))
    program = case.start("nginx", ["nginx", "-p", str(case.folder), "-c", str(case.folder / "nginx.conf")])
    # A master that is killed leaves its workers behind.
    case.addCleanup(program.terminate)
    wait_for("nginx", lambda: is_open(port))
    return program


def haproxy(case: Case, listeners: list[str]) -> list[int]:
    """HAProxy with `listeners`: what follows `bind 127.0.0.1:PORT` in each; their ports."""
    ports = [free_port() for _ in listeners]
    text = "".join(f"listen l{n}\n  bind 127.0.0.1:{port} {rest}\n" for n, (port, rest) in enumerate(zip(ports, listeners)))
    (case.folder / "haproxy.cfg").write_text(HAPROXY.format(limit=LIMIT_SECS, listeners=text))
    case.start("haproxy", ["haproxy", "-db", "-f", str(case.folder / "haproxy.cfg")])
    wait_for("HAProxy", lambda: all(map(is_open, ports)))
    return ports
