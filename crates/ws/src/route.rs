//! Which way a connection's events leave, and which subprotocol it speaks. Source: `spec/websocket.md` 5 and 6.
//!
//! Guards are not in here: [`Routes::candidates`] gives the routes that match, in order, and whoever has the guards takes the
//! first one that they let pass. [`Routes::unmatched`] says why there was none.

use crate::escape;
use crate::handshake::{Authority, Headers};
use crate::pattern::{AuthorityPattern, NoText, Params, PathPattern, Pattern, PatternError, Takes};
use std::borrow::Cow;

/// What routes look at.
#[derive(Debug)]
pub struct Asked<'r> {
    /// Whether the client reached us over TLS.
    secure: bool,
    authority: &'r Authority,
    path: Cow<'r, str>,
    query: Option<&'r str>,
    headers: &'r Headers,
    /// Subprotocols offered, in the client's order, without those that only carry credentials.
    protocols: &'r [String],
}

impl<'r> Asked<'r> {
    /// A request: `path` and `query` as they were sent; `protocols` offered, in the client's order.
    pub fn new(
        (secure, authority): (bool, &'r Authority),
        (path, query): (&'r str, Option<&'r str>),
        headers: &'r Headers,
        protocols: &'r [String],
    ) -> Self {
        Self { secure, authority, path: escape::unreserved(path), query, headers, protocols }
    }
}

/// One condition of a route: all that is there has to match, and nothing matches what the request does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    protocol: Option<Pattern>,
    scheme: Option<Pattern>,
    authority: Option<AuthorityPattern>,
    path: Option<PathPattern>,
    query: Vec<(String, Pattern)>,
    headers: Vec<(String, Pattern)>,
    /// `protocol` as it was written.
    shown: Option<String>,
}

impl Condition {
    /// Demands an offer of a subprotocol.
    ///
    /// # Errors
    /// When no offer can match.
    pub fn set_protocol(&mut self, text: &str) -> Result<(), PatternError> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || !text.bytes().all(known) {
            return Err(PatternError::Protocol { name: text.to_owned() });
        }
        self.protocol = Some(Pattern::new(text));
        self.shown = Some(text.to_owned());
        Ok(())
    }

    /// Demands a scheme: `http` or `https`, also written `ws` and `wss`.
    ///
    /// # Errors
    /// When no request can match.
    pub fn set_scheme(&mut self, text: &str) -> Result<(), PatternError> {
        let pattern = Pattern::new(&text.to_ascii_lowercase());
        if !SCHEMES.iter().flatten().any(|scheme| pattern.matches(scheme)) {
            return Err(PatternError::Scheme { scheme: text.to_owned() });
        }
        self.scheme = Some(pattern);
        Ok(())
    }

    /// Demands a host, and a port if there is one.
    ///
    /// # Errors
    /// When it is none.
    pub fn set_authority(&mut self, text: &str) -> Result<(), PatternError> {
        self.authority = Some(AuthorityPattern::parse(text)?);
        Ok(())
    }

    /// Demands a path.
    ///
    /// # Errors
    /// When no path can match.
    pub fn set_path(&mut self, text: &str) -> Result<(), PatternError> {
        self.path = Some(PathPattern::parse(text)?);
        Ok(())
    }

    /// Demands a value in the query under `name`; of several with that name one suffices.
    pub fn add_query(&mut self, name: &str, pattern: &str) {
        self.query.push((name.to_owned(), Pattern::new(pattern)));
    }

    /// Demands a header; of several with that name one suffices.
    pub fn add_header(&mut self, name: &str, pattern: &str) {
        self.headers.push((name.to_owned(), Pattern::new(pattern)));
    }

    /// Which requests for `path` match.
    fn takes(&self, path: &str) -> Takes {
        let of_path = self.path.as_ref().map_or(Takes::Always, |own| own.takes(path));
        let asks_for_more = self.protocol.is_some()
            || self.scheme.is_some()
            || self.authority.is_some()
            || !self.query.is_empty()
            || !self.headers.is_empty();
        if asks_for_more { of_path.min(Takes::Maybe) } else { of_path }
    }

    /// Whether every request that matches `other` matches this one, too; `false` if that is not sure.
    fn covers(&self, other: &Self) -> bool {
        let may_be = |condition: &Self, names: &[&str]| {
            condition.scheme.as_ref().is_none_or(|own| names.iter().any(|name| own.matches(name)))
        };
        let covers_scheme = SCHEMES.iter().all(|names| !may_be(other, names) || may_be(self, names));
        let covers_named =
            |own: &[(String, Pattern)], theirs: &[(String, Pattern)], is_same: fn(&str, &str) -> bool| {
                own.iter().all(|(name, wide)| {
                    theirs.iter().any(|(other, narrow)| is_same(name, other) && wide.covers(narrow))
                })
            };
        covers_scheme
            && self
                .protocol
                .as_ref()
                .is_none_or(|own| other.protocol.as_ref().is_some_and(|one| own.covers(one)))
            && self
                .authority
                .as_ref()
                .is_none_or(|own| other.authority.as_ref().is_some_and(|one| own.covers(one)))
            && self.path.as_ref().is_none_or(|own| own.covers(other.path.as_ref()))
            && covers_named(&self.query, &other.query, |one, other| one == other)
            && covers_named(&self.headers, &other.headers, |one, other| one.eq_ignore_ascii_case(other))
    }

    /// The parameters of the path, if all but the subprotocol matches.
    fn matches(&self, asked: &Asked<'_>) -> Option<Result<Params, NoText>> {
        let scheme = SCHEMES.get(usize::from(asked.secure)).into_iter().flatten();
        let fits = self.scheme.as_ref().is_none_or(|own| scheme.clone().any(|scheme| own.matches(scheme)))
            && self.authority.as_ref().is_none_or(|own| own.matches(asked.authority, asked.secure))
            && self.headers.iter().all(|(name, pattern)| {
                asked.headers.all(name).any(|value| pattern.matches(&String::from_utf8_lossy(value)))
            });
        if !fits {
            return None;
        }
        if !self.query.is_empty() {
            let pairs = escape::query_pairs(asked.query.unwrap_or_default());
            let is_there = |(name, pattern): &(String, Pattern)| {
                pairs.iter().any(|(own, value)| own == name && pattern.matches(value))
            };
            if !self.query.iter().all(is_there) {
                return None;
            }
        }
        match &self.path {
            None => Some(Ok(Vec::new())),
            Some(path) => path.matches(&asked.path, asked.query),
        }
    }
}

/// The names of a scheme, plain and over TLS.
const SCHEMES: [[&str; 2]; 2] = [["http", "ws"], ["https", "wss"]];

/// Which subprotocols are spoken where no condition names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protocols {
    /// `subprotocols`.
    pub list: Vec<String>,
    /// `subprotocol_preference`: our order decides between several, and not the client's.
    pub prefers_own: bool,
    /// `require_websocket_subprotocol`.
    pub required: bool,
}

impl Protocols {
    /// The one to speak with a client that offers `offers` where there are no routes.
    ///
    /// # Errors
    /// None fits although one is required.
    pub fn choose<'o>(&self, offers: &'o [String]) -> Result<Option<&'o str>, NoProtocol> {
        let chosen = if self.prefers_own {
            self.list.iter().find_map(|own| offers.iter().find(|offer| *offer == own))
        } else {
            offers.iter().find(|offer| self.list.contains(offer))
        };
        if chosen.is_none() && self.required {
            return Err(NoProtocol { accepted: self.list.clone() });
        }
        Ok(chosen.map(String::as_str))
    }
}

impl Protocols {
    /// Whether the list has it.
    pub fn speaks(&self, name: &str) -> bool {
        self.list.iter().any(|own| own == name)
    }
}

/// No subprotocol fits. These would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoProtocol {
    /// Names, and patterns of names.
    pub accepted: Vec<String>,
}

/// One route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Any of these suffices; without any the route always matches.
    pub when: Vec<Condition>,
    /// What is spoken where its conditions do not say.
    pub protocols: Protocols,
    /// Whoever it does not let pass is not to learn that it is there.
    pub conceals: bool,
}

/// A route that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'o> {
    /// Which one, from 0.
    pub route: usize,
    /// The subprotocol to speak, one of those offered.
    pub protocol: Option<&'o str>,
    /// Parameters of the path, decoded; or one of them is no text.
    pub params: Result<Vec<(String, String)>, NoText>,
}

impl Route {
    /// Whether a condition demands a subprotocol.
    pub fn names_protocols(&self) -> bool {
        self.when.iter().any(|condition| condition.protocol.is_some())
    }

    /// Whether it matches whatever is asked for.
    pub fn matches_all(&self) -> bool {
        self.covers(&Self::default())
    }

    /// Whether it matches every request that `other` matches; `false` if that is not sure.
    pub fn covers(&self, other: &Self) -> bool {
        let every = [Condition::default()];
        let conditions = |route: &'_ Self| -> Vec<Condition> {
            if route.when.is_empty() { every.to_vec() } else { route.when.clone() }
        };
        let own = conditions(self);
        conditions(other).iter().all(|narrow| {
            // One that names no subprotocol matches whatever is offered, unless one is required.
            let may_count = |wide: &&Condition| wide.protocol.is_some() || !self.protocols.required;
            own.iter().filter(may_count).any(|wide| wide.covers(narrow))
        })
    }

    /// Whether it may match a request for `path`.
    pub fn may_take(&self, path: &str) -> bool {
        self.takes(path) != Takes::Never
    }

    /// Whether it matches every request for `path`.
    pub fn always_takes(&self, path: &str) -> bool {
        self.takes(path) == Takes::Always
    }

    fn takes(&self, path: &str) -> Takes {
        let path = escape::unreserved(path);
        let takes = self.when.iter().map(|condition| condition.takes(&path)).max().unwrap_or(Takes::Always);
        if self.protocols.required { takes.min(Takes::Maybe) } else { takes }
    }

    /// The names of the parameters that a request may have: for each condition those of its path.
    pub fn params(&self) -> Vec<Vec<String>> {
        let paths = self.when.iter().map(|condition| condition.path.as_ref());
        let of_each = paths.map(|path| path.map_or_else(Vec::new, |path| path.names().to_vec()));
        if self.when.is_empty() { vec![Vec::new()] } else { of_each.collect() }
    }

    /// Whether a connection may speak that subprotocol, or none.
    pub fn may_speak(&self, protocol: Option<&str>) -> bool {
        let mut named = self.when.iter().map(|condition| condition.protocol.as_ref());
        match protocol {
            None => !self.protocols.required && (self.when.is_empty() || named.any(|named| named.is_none())),
            Some(name) => self.protocols.speaks(name) || named.flatten().any(|pattern| pattern.matches(name)),
        }
    }

    /// Resolves this route for each offer, as if it stood alone: an offer that a condition or the list names comes before
    /// one that is only let in.
    fn candidate<'o>(&self, route: usize, asked: &Asked<'o>) -> Option<Candidate<'o>> {
        let always = [Condition::default()];
        let when = if self.when.is_empty() { always.as_slice() } else { self.when.as_slice() };
        let matching: Vec<_> =
            when.iter().filter_map(|one| one.matches(asked).map(|params| (one, params))).collect();
        let own = self.protocols.list.iter().filter(|_| self.protocols.prefers_own);
        let own = own.filter_map(|own| asked.protocols.iter().find(|offer| *offer == own));
        for offer in own.chain(asked.protocols) {
            let is_listed = self.protocols.list.contains(offer);
            let speaks = |condition: &Condition| match &condition.protocol {
                Some(pattern) => pattern.matches(offer),
                None => is_listed,
            };
            if let Some((_, params)) = matching.iter().find(|(condition, _)| speaks(condition)) {
                return Some(Candidate { route, protocol: Some(offer), params: params.clone() });
            }
        }
        if self.protocols.required {
            return None;
        }
        let (_, params) = matching.into_iter().find(|(condition, _)| condition.protocol.is_none())?;
        Some(Candidate { route, protocol: None, params })
    }

    /// The subprotocols that would make it match; `None` if something else does not.
    fn wanted(&self, asked: &Asked<'_>) -> Option<Vec<String>> {
        let always = [Condition::default()];
        let when = if self.when.is_empty() { always.as_slice() } else { self.when.as_slice() };
        let mut matching = when.iter().filter(|condition| condition.matches(asked).is_some()).peekable();
        matching.peek()?;
        // The list only says what is spoken where the condition does not.
        let names = |condition: &Condition| match &condition.shown {
            Some(named) => vec![named.clone()],
            None => self.protocols.list.clone(),
        };
        Some(matching.flat_map(names).collect())
    }
}

/// Routes in the order in which they are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(pub Vec<Route>);

impl Routes {
    /// The routes that match, each once, in order.
    pub fn candidates<'o>(&self, asked: &Asked<'o>) -> impl Iterator<Item = Candidate<'o>> {
        self.0.iter().enumerate().filter_map(|(number, route)| route.candidate(number, asked))
    }

    /// Why there is no candidate: `Some` if a subprotocol would have made one that may be told of.
    pub fn unmatched(&self, asked: &Asked<'_>) -> Option<NoProtocol> {
        let mut accepted: Vec<String> = Vec::new();
        let mut is_only_that = false;
        let told_of = self.0.iter().filter(|route| !route.conceals);
        for wanted in told_of.filter_map(|route| route.wanted(asked)) {
            is_only_that = true;
            for name in wanted {
                if !accepted.contains(&name) {
                    accepted.push(name);
                }
            }
        }
        is_only_that.then_some(NoProtocol { accepted })
    }
}

#[cfg(test)]
mod tests;
