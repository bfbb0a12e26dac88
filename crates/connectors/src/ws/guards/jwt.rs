//! Options of a `jwt` guard (`spec/websocket.md` 7.4).

use super::{
    keys::{Keys, Location, is_url},
    kinds::{Made, instead_of, realm},
    to_json,
};
use crate::ws::options::Settings;
use std::sync::Arc;
use tremor_connector::config::{ConfigError, Entry, OneOrMany, Reader};
use tremor_connector::tls::{ClientTlsSetting, TlsKeys};
use tremor_value::Value;
use tremor_ws::guard::{Algorithm, Json, JwtOptions, KeySet, Kind, Wanted};

pub(super) fn read(mut options: Reader<'_>, settings: &Settings<'_>) -> Result<Made, ConfigError> {
    let defaults = JwtOptions::default();
    let seconds = |value: u64| value.saturating_mul(1000);
    let realm = realm(&mut options)?;
    let read = JwtOptions {
        issuer: issuer(&mut options)?,
        audience: audience(&mut options)?,
        roles: claim(&mut options, "roles")?.unwrap_or(defaults.roles),
        identity: claim(&mut options, "identity")?.unwrap_or(defaults.identity),
        attributes: attributes(&mut options)?,
        challenge_ms: options.optional("challenge")?.map(seconds),
        algorithms: algorithms(&mut options)?,
        leeway_ms: seconds(options.or("leeway", 0)?),
        require_exp: options.or("require_exp", defaults.require_exp)?,
        max_token_bytes: options.or_in("max_token_size", defaults.max_token_bytes, 1..=1 << 20)?,
    };
    if read.leeway_ms > seconds(LONG_LEEWAY_S) {
        let (options, leeway) = (options.path_text(), read.leeway_ms / 1000);
        settings.warn(&format!(
            "{options}.leeway: is {leeway} s, and tokens are good for so long behind their end; clocks differ by some seconds"
        ));
    }
    if read.challenge_ms == Some(0) && read.leeway_ms == 0 && closes_at_the_end(settings) {
        let problem = "is 0: the connection is closed then, so nobody could bring a fresh token; write how many seconds \
                       before";
        return Err(options.conflict("challenge", problem));
    }
    let refresh_ms = seconds(options.or_in("refresh", 3600, 30..=31_536_000)?);
    let keys = match keys(&mut options, &read, refresh_ms, settings) {
        Ok(keys) => keys,
        Err(error) => return Err(instead_of(error, options)),
    };
    if let (Some(set), Some(allowed)) = (keys.current(), &read.algorithms) {
        let is_of_use =
            |key: &Arc<tremor_ws::guard::Key>| allowed.iter().any(|algorithm| key.fits(*algorithm));
        if !set.keys().iter().any(is_of_use) {
            return Err(options.conflict("algorithms", "no key goes with any of them"));
        }
    }
    options.finish()?;
    let wanted = Some(Wanted::Token);
    Ok(Made { kind: Kind::Jwt(read), wanted, realm, keys: Some(keys), users: None, question: None })
}

/// More than this is hardly meant.
const LONG_LEEWAY_S: u64 = 3600;

/// Whether a connection goes with its session.
fn closes_at_the_end(settings: &Settings<'_>) -> bool {
    let said = settings.config.members().get("on_expiry").filter(|said| !said.is_null());
    said.is_none_or(|said| said.as_str() == Some("close"))
}

fn issuer(options: &mut Reader<'_>) -> Result<Option<String>, ConfigError> {
    let issuer: Option<String> = options.optional("issuer")?;
    if issuer.as_ref().is_some_and(String::is_empty) {
        return Err(options
            .invalid("issuer", "is empty, and no issuer is; leave it out to admit tokens of any issuer"));
    }
    Ok(issuer)
}

fn attributes(options: &mut Reader<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let Some(attributes) = options.record("attributes")? else { return Ok(Vec::new()) };
    attributes.entries().map(|(name, claim)| Ok((name.to_string(), claim_path(&claim)?))).collect()
}

/// Where in a token something is, if that is said.
fn claim(options: &mut Reader<'_>, key: &'static str) -> Result<Option<String>, ConfigError> {
    options.entry(key).as_ref().map(claim_path).transpose()
}

/// The name of a claim, or names from the outside in, with dots between them.
fn claim_path(entry: &Entry<'_>) -> Result<String, ConfigError> {
    let path: &str = entry.read()?;
    if path.is_empty() {
        return Err(entry.invalid("is empty; it names a claim of the tokens"));
    }
    if !is_url(path) && path.split('.').any(str::is_empty) {
        return Err(entry.invalid(format!("`{path}` is no path of a claim: names with dots between them")));
    }
    Ok(path.to_owned())
}

fn audience(options: &mut Reader<'_>) -> Result<Vec<String>, ConfigError> {
    let Some(written) = options.optional::<OneOrMany<Entry<'_>>>("audience")? else { return Ok(Vec::new()) };
    if written.0.is_empty() {
        let problem = "an empty list admits nobody; leave it out to admit tokens for any audience";
        return Err(options.invalid("audience", problem));
    }
    let mut audience = Vec::with_capacity(written.0.len());
    for entry in written.0 {
        let name: String = entry.read()?;
        if name.is_empty() {
            return Err(entry.invalid(
                "is empty, and no token is for that; leave it out to admit tokens for any audience",
            ));
        }
        audience.push(name);
    }
    Ok(audience)
}

fn algorithms(options: &mut Reader<'_>) -> Result<Option<Vec<Algorithm>>, ConfigError> {
    let Some(entry) = options.entry("algorithms") else { return Ok(None) };
    let mut algorithms = Vec::new();
    for name in entry.read::<OneOrMany<Entry<'_>>>()?.0 {
        let text: &str = name.read()?;
        let found = Algorithm::named(text).ok_or_else(|| {
            name.invalid(match text.eq_ignore_ascii_case("none") {
                true => "`none` can not be allowed: anybody could make such tokens".to_owned(),
                false => {
                    let known: Vec<_> = Algorithm::ALL.iter().map(|(name, _)| format!("`{name}`")).collect();
                    format!("is none of {}", known.join(", "))
                }
            })
        })?;
        algorithms.push(found);
    }
    if algorithms.is_empty() {
        return Err(entry.invalid("an empty list admits nobody; leave it out to allow what the keys allow"));
    }
    Ok(Some(algorithms))
}

/// `keys`: a list, a file or a URL; without, what the issuer publishes.
fn keys(
    options: &mut Reader<'_>,
    read: &JwtOptions,
    refresh_ms: u64,
    settings: &Settings<'_>,
) -> Result<Keys, ConfigError> {
    options.hide("keys");
    let is_said = options.members().get("tls").is_some_and(|tls| !tls.is_null());
    let tls = ClientTlsSetting::from_config(options, TlsKeys::Common)?.enabled();
    let from = options.members().get("keys").and_then(Value::as_str).or(read.issuer.as_deref());
    let is_https =
        from.and_then(|url| url.get(..8)).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    if is_said && (tls.is_none() || !is_https) {
        return Err(
            options.conflict("tls", "says whom to trust for keys of an `https` URL, and there is none")
        );
    }
    let Some(entry) = options.entry("keys") else {
        let Some(issuer) = &read.issuer else {
            return Err(options.missing("keys", "a list of JWKs, or a file or URL of a JWK set; or `issuer`"));
        };
        if !is_url(issuer) {
            let problem = "is no URL whose `/.well-known/jwks.json` could be asked; write `keys` too";
            return Err(options.conflict("issuer", problem));
        }
        let url = format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'));
        return Keys::url(&url, refresh_ms, tls, settings).map_err(|error| options.invalid("issuer", error));
    };
    match entry.value() {
        Value::String(text) => match Location::of(text) {
            Ok(Location::Url) => Keys::url(text, refresh_ms, tls, settings),
            Ok(Location::Path) => Keys::file(entry.read()?, settings),
            Ok(Location::FileUrl(path)) => Keys::file(path, settings),
            Err(problem) => Err(problem),
        }
        .map_err(|error| entry.invalid(error)),
        Value::Array(items) => {
            let list: Option<Vec<_>> = items.iter().map(to_json).collect();
            let list = list.ok_or_else(|| entry.invalid("has bytes in it, which no JWK has"))?;
            for (index, _) in list.iter().enumerate().filter(|(_, key)| is_named_by_nothing(key)) {
                let keys = entry.path_text();
                settings.warn(&format!(
                    "{keys}[{index}].kid: is empty; tokens have to name the key, so give it a name"
                ));
            }
            let set = KeySet::from_list(&list).map_err(|error| entry.invalid(error.to_string()))?;
            Ok(Keys::Fixed(Arc::new(set)))
        }
        _ => Err(entry.mismatch("list of JWKs, or path or URL of a JWK set")),
    }
}

/// Whether a key has a name, and that is empty.
fn is_named_by_nothing(key: &Json) -> bool {
    let kid = key.as_object().and_then(|key| key.get("kid"));
    kid.and_then(Json::as_str).is_some_and(str::is_empty)
}
