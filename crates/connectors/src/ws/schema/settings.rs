//! What the configuration says of schemas: [`catalogs`], and what is wanted in each of the [`directions`], of which a
//! [`plan`] becomes what connections have.

mod catalogs;
mod directions;
mod plan;

use super::{
    Ahead, Outgoing,
    catalog::{Catalog, Current, Entry as Known},
};
use crate::ws::options::Settings;
use catalogs::catalog;
use std::{collections::BTreeMap, sync::Arc};
use tremor_codec::model::Format;
use tremor_connector::config::{ConfigError, Key as At, Reader};
use tremor_value::Value;

/// The schemas of one connector.
#[derive(Default)]
pub(in crate::ws) struct Schemas {
    kind: &'static str,
    alias: String,
    catalogs: BTreeMap<String, Arc<Catalog>>,
    /// Of connections whose route says nothing else.
    usual: Plans,
    /// Of all ways there are.
    all: Vec<Arc<Plan>>,
}

/// What is wanted of the messages of connections.
#[derive(Clone, Default)]
pub(in crate::ws) struct Plans {
    kind: &'static str,
    into: Option<Arc<Plan>>,
    out: Option<Arc<Plan>>,
}

/// What is wanted in one direction.
pub(super) struct Plan {
    shape: Option<(Format, Option<String>)>,
    pub(super) catalog: Option<Arc<Catalog>>,
    reference: Option<Reference>,
    pub(super) id_from: IdFrom,
    pub(super) on_invalid_in: OnInvalidIn,
    pub(super) on_invalid_out: OnInvalidOut,
    /// The model, where it needs no schema.
    pub(super) fixed: Option<Arc<Current>>,
    /// The keys that lead to it.
    at: Vec<At>,
}

#[derive(Clone)]
enum Reference {
    Id(u64),
    Subject {
        subject: Vec<Piece>,
        version: String,
    },
    /// The subject is that of the route.
    Topic {
        version: String,
    },
}

/// A piece of the name of a subject.
#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// What the path has there.
    Param(String),
}

/// What says which schema a message has, besides the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IdFrom {
    None,
    /// What stands in front of it: a zero byte, and so many bytes.
    Prefix(usize),
    Metadata,
}

#[derive(Clone, Copy)]
pub(super) enum OnInvalidIn {
    Err,
    Drop,
    Close(u16),
}

#[derive(Clone, Copy)]
pub(super) enum OnInvalidOut {
    Fail,
    Drop,
    Pass,
}

/// The schemas of one connection.
#[derive(Default)]
pub(in crate::ws) struct Opened {
    into: Option<Arc<Known>>,
    out: Option<Arc<Known>>,
}

impl Schemas {
    /// Reads `schema` of a connector of this kind.
    pub(in crate::ws) fn read(
        settings: &mut Settings<'_>,
        kind: &'static str,
        alias: &str,
    ) -> Result<Self, ConfigError> {
        let mut schemas = Self { kind, alias: alias.to_owned(), ..Self::default() };
        schemas.usual.kind = kind;
        if let Some(reader) = settings.optional::<Reader<'_>>("schema")? {
            schemas.usual = schemas.plans(reader, settings)?;
        }
        Ok(schemas)
    }

    /// Those of a route: what its `options` say, and otherwise what the connector says. `patterns`: of its paths.
    pub(in crate::ws) fn of_route(
        &mut self,
        options: Option<&mut Settings<'_>>,
        patterns: &[&str],
    ) -> Result<Option<Plans>, ConfigError> {
        let mut plans = self.usual.clone();
        if let Some(options) = options
            && let Some(reader) = options.optional::<Reader<'_>>("schema")?
        {
            let own = self.plans(reader, options)?;
            plans.into = own.into.or(plans.into);
            plans.out = own.out.or(plans.out);
        }
        self.settle(plans, patterns)
    }

    /// Those of connections that no route is for; `patterns` of their paths.
    pub(in crate::ws) fn of_others(&mut self, patterns: &[&str]) -> Result<Option<Plans>, ConfigError> {
        self.settle(self.usual.clone(), patterns)
    }

    fn settle(&mut self, plans: Plans, patterns: &[&str]) -> Result<Option<Plans>, ConfigError> {
        let on = |plan: Option<Arc<Plan>>| plan.map(|plan| Plan::on(&plan, patterns)).transpose();
        let plans = Plans { kind: self.kind, into: on(plans.into)?, out: on(plans.out)? };
        self.all.extend(plans.into.iter().chain(&plans.out).cloned());
        Ok((plans.into.is_some() || plans.out.is_some()).then_some(plans))
    }

    /// Reads one `schema`.
    fn plans(&mut self, mut reader: Reader<'_>, settings: &Settings<'_>) -> Result<Plans, ConfigError> {
        if let Some(catalogs) = reader.record("catalogs")? {
            for (name, entry) in catalogs.entries() {
                if self.catalogs.contains_key(name.as_str()) {
                    return Err(entry.invalid("there is a catalog of that name already"));
                }
                let catalog = catalog(name, &entry, &self.alias, settings)?;
                self.catalogs.insert(name.to_string(), Arc::new(catalog));
            }
        }
        let is_silent =
            ["in", "out", "catalogs"].iter().all(|key| reader.members().get(key).is_none_or(Value::is_null));
        let into = reader.record("in")?.map(|reader| self.plan(reader, true)).transpose()?;
        let out = reader.record("out")?.map(|reader| self.plan(reader, false)).transpose()?;
        reader.finish()?;
        if is_silent {
            settings
                .warn("`schema` has neither `in` nor `out`, so it says nothing of any message; leave it out");
        }
        Ok(Plans { kind: self.kind, into: into.map(Arc::new), out: out.map(Arc::new) })
    }

    /// Warns of catalogs that no message is ever compared with, once all routes are read.
    pub(in crate::ws) fn tell_of_unused(&self, settings: &Settings<'_>) {
        let is_used = |catalog: &Arc<Catalog>| {
            self.all.iter().any(|plan| plan.catalog.as_ref().is_some_and(|used| Arc::ptr_eq(used, catalog)))
        };
        for (name, _) in self.catalogs.iter().filter(|(_, catalog)| !is_used(catalog)) {
            settings.warn(&format!(
                "no message is compared with what is in the catalog `{name}` of `schema`: `in` or `out` have to name it"
            ));
        }
    }

    /// Gets the schemas that are known to be needed.
    ///
    /// # Errors
    /// One cannot be had, and its catalog is not lazy; in words.
    pub(in crate::ws) async fn start(&self) -> Result<(), String> {
        for plan in &self.all {
            let (Some(catalog), Some(wanted)) = (&plan.catalog, plan.fixed_reference()) else { continue };
            if catalog.is_lazy {
                let catalog = catalog.clone();
                tokio::spawn(async move {
                    let _wanted_again_later = catalog.get(&wanted).await.is_err();
                });
                continue;
            }
            catalog
                .get(&wanted)
                .await
                .map_err(|missing| format!("{wanted} cannot be had: {}", missing.cause))?;
        }
        Ok(())
    }

    /// Who gets schemas that elements name, if any do.
    pub(in crate::ws) fn ahead(&self) -> Option<Ahead> {
        let named = self.all.iter().filter(|plan| plan.id_from == IdFrom::Metadata);
        let named: Vec<_> = named.map(|plan| Outgoing::new(plan.clone(), None, self.kind)).collect();
        (!named.is_empty()).then_some(Ahead(named))
    }
}
