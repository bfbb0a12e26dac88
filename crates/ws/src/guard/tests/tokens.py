"""Makes `tokens.json`: tokens by PyJWT, with a key of each kind.

    python3 -m venv .venv && .venv/bin/pip install 'pyjwt[crypto]==2.15.1' && .venv/bin/python tokens.py > tokens.json

The keys are new each time, so all of the file changes.
"""

import json
import os

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CLAIMS = {
    "iss": "https://id.plant.example",
    "aud": ["https://edge.plant.example", "other"],
    "sub": "press-7",
    "scope": "orders:read orders:write",
    "realm_access": {"roles": ["operator", "viewer"]},
    "site": "north",
    "iat": 1_700_000_000,
    "nbf": 1_700_000_000,
    "exp": 1_700_003_600,
}
PUBLIC = ("kty", "crv", "x", "y", "n", "e", "k")

keys = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "ed": ed25519.Ed25519PrivateKey.generate(),
    "oct": os.urandom(64),
}
of = {"RS": "rsa", "PS": "rsa", "HS": "oct", "ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed"}
one_of = {"rsa": "RS256", "p256": "ES256", "p384": "ES384", "p521": "ES512", "ed": "EdDSA", "oct": "HS256"}


def jwk(kid, key):
    public = key if kid == "oct" else key.public_key()
    members = jwt.get_algorithm_by_name(one_of[kid]).to_jwk(public, as_dict=True)
    return {"kid": kid} | {name: members[name] for name in PUBLIC if name in members}


def sign(algorithm, claims=CLAIMS, headers=None, key=None):
    kid = of.get(algorithm) or of[algorithm[:2]]
    headers = {"kid": kid} if headers is None else headers
    return jwt.encode(claims, key or keys[kid], algorithm=algorithm, headers=headers)


names = [family + size for family in ("RS", "PS", "ES", "HS") for size in ("256", "384", "512")] + ["EdDSA"]
print(json.dumps({
    "keys": [jwk(kid, key) for kid, key in keys.items()],
    "algorithms": {name: sign(name) for name in names},
    "no_kid": {name: sign(name, headers={}) for name in ("ES256", "RS256")},
    "unknown_kid": sign("ES256", headers={"kid": "p257"}),
    "ignored_headers": sign("ES256", headers={
        "kid": "p256", "jwk": jwk("p384", keys["p384"]), "jku": "https://evil.example/keys", "x5u": "x", "x5c": ["x"],
    }),
    "crit": sign("ES256", headers={"kid": "p256", "crit": ["exp2"], "exp2": 1}),
    "forever": sign("ES256", {"sub": "press-7"}),
    "fractions": sign("ES256", {"sub": "press-7", "nbf": 1_700_000_000.25, "exp": 1_700_000_001.5}),
    "no_claims": sign("ES256", {}),
    "roles_of_numbers": sign("ES256", {"scope": [1]}),
    "text_expiry": sign("ES256", {"exp": "soon"}),
}, indent=1))
