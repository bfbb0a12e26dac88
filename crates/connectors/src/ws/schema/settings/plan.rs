//! Which schemas connections have.

use super::{
    super::{
        Incoming, Outgoing,
        catalog::{Catalog, Entry as Known, Key, Missing, Wanted},
    },
    Opened, Piece, Plan, Plans, Reference,
};
use std::sync::Arc;
use tremor_codec::model::{Format, Violation};
use tremor_connector::config::{ConfigError, Key as At};

impl Plan {
    /// The same for connections to paths like these.
    pub(super) fn on(plan: &Arc<Self>, patterns: &[&str]) -> Result<Arc<Self>, ConfigError> {
        let mut plan = plan.clone();
        if let Some(Reference::Topic { version }) = &plan.reference {
            let subject = topic(patterns).map_err(|problem| plan.wrong("strategy", problem))?;
            let reference =
                Reference::Subject { subject: vec![Piece::Text(subject)], version: version.clone() };
            plan = Arc::new(Self { reference: Some(reference), ..plan.copy() });
        }
        if let Some(Reference::Subject { subject, .. }) = &plan.reference {
            for piece in subject {
                let Piece::Param(name) = piece else { continue };
                let capture = format!("{{{name}}}");
                if patterns.is_empty() || patterns.iter().any(|pattern| !pattern.contains(&capture)) {
                    let problem = format!("there are connections whose path has no `{capture}`");
                    return Err(plan.wrong("subject", problem));
                }
            }
        }
        if let (Some(catalog), Some(wanted)) = (&plan.catalog, plan.fixed_reference())
            && catalog.is_here()
        {
            let key = if matches!(wanted.key, Key::Id(_)) { "id" } else { "subject" };
            catalog.at_hand(&wanted).map_err(|missing| {
                plan.wrong(key, format!("{}{}", missing.cause, catalog.advice(&wanted)))
            })?;
        }
        Ok(plan)
    }

    fn copy(&self) -> Self {
        Self {
            shape: self.shape.clone(),
            catalog: self.catalog.clone(),
            reference: self.reference.clone(),
            id_from: self.id_from,
            on_invalid_in: self.on_invalid_in,
            on_invalid_out: self.on_invalid_out,
            fixed: self.fixed.clone(),
            at: self.at.clone(),
        }
    }

    fn wrong(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        let mut path = self.at.clone();
        path.push(At::Field(key.into()));
        ConfigError { path, problem: tremor_connector::config::Problem::Invalid(problem.into()), word: None }
    }

    fn wanted(&self, key: Key) -> Wanted {
        let (format, record) = self.shape.clone().unwrap_or((Format::Json, None));
        Wanted { key, format, record }
    }

    /// The schema of that number.
    pub(in crate::ws::schema) fn of_id(&self, id: u64) -> Wanted {
        self.wanted(Key::Id(id))
    }

    /// The schema that is meant, if that does not depend on the connection.
    pub(in crate::ws::schema) fn fixed_reference(&self) -> Option<Wanted> {
        self.reference_with(&[]).ok().flatten()
    }

    /// The schema that is meant by a connection with these parameters of its path.
    pub(in crate::ws::schema) fn reference_with(
        &self,
        params: &[(String, String)],
    ) -> Result<Option<Wanted>, Missing> {
        Ok(match &self.reference {
            None | Some(Reference::Topic { .. }) => None,
            Some(Reference::Id(id)) => Some(self.of_id(*id)),
            Some(Reference::Subject { subject, version }) => {
                let mut name = String::new();
                for piece in subject {
                    match piece {
                        Piece::Text(text) => name.push_str(text),
                        Piece::Param(param) => {
                            let found = params.iter().find(|(known, _)| known == param);
                            let (_, value) = found.ok_or_else(|| Missing {
                                is_gone: true,
                                cause: format!("the path has no `{param}`"),
                            })?;
                            name.push_str(value);
                        }
                    }
                }
                Some(self.wanted(Key::Subject { subject: name, version: version.clone() }))
            }
        })
    }

    async fn open(&self, params: &[(String, String)]) -> Result<Option<Arc<Known>>, Missing> {
        let (Some(catalog), Some(wanted)) = (&self.catalog, self.reference_with(params)?) else {
            return Ok(None);
        };
        if catalog.is_here() {
            catalog.at_hand(&wanted).map(Some)
        } else {
            catalog.get(&wanted).await.map(Some)
        }
    }

    pub(in crate::ws::schema) fn catalog_or_none(&self) -> Result<&Arc<Catalog>, Violation> {
        self.catalog.as_ref().ok_or_else(|| Violation::new("", "schema", "there is no catalog"))
    }
}

/// The subject of messages on a path, as registries name those of a topic.
fn topic(patterns: &[&str]) -> Result<String, String> {
    let Some((first, others)) = patterns.split_first() else {
        return Err("the subject is that of the path of a route, and here is none".to_owned());
    };
    if others.iter().any(|other| other != first) {
        return Err("the subject is that of the path of a route, and here are several".to_owned());
    }
    if first.contains(['*', '?']) {
        return Err(format!("the subject is that of the path of a route, and `{first}` is many"));
    }
    let segments: Vec<_> = first
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| segment.trim_matches(['{', '}']))
        .collect();
    if segments.is_empty() {
        return Err(format!("`{first}` gives no subject a name"));
    }
    Ok(format!("{}-value", segments.join(".")))
}

impl Plans {
    /// Gets the schemas of a connection with these parameters of its path.
    ///
    /// # Errors
    /// They cannot be had.
    pub(in crate::ws) async fn open(&self, params: &[(String, String)]) -> Result<Opened, Missing> {
        let mut opened = Opened::default();
        if let Some(plan) = &self.into {
            opened.into = plan.open(params).await?;
        }
        if let Some(plan) = &self.out {
            opened.out = plan.open(params).await?;
        }
        Ok(opened)
    }

    /// Who looks at what a connection brings.
    pub(in crate::ws) fn incoming(&self, opened: &Opened) -> Option<Box<Incoming>> {
        let plan = self.into.as_ref()?;
        Some(Box::new(Incoming::new(plan.clone(), opened.into.clone(), self.kind)))
    }

    /// Who looks at what is sent on connections with these parameters of their path, before there is one.
    pub(in crate::ws) fn outgoing_to(&self, params: &[(String, String)]) -> Option<Arc<Outgoing>> {
        Some(Arc::new(Outgoing::with_params(self.out.clone()?, params, self.kind)))
    }

    /// Whether anything is said of what is sent.
    pub(in crate::ws) fn say_out(&self) -> bool {
        self.out.is_some()
    }

    /// Whether anybody looks at what is sent.
    pub(in crate::ws) fn look_at_outgoing(&self) -> bool {
        self.out.is_some()
    }

    /// Who looks at what is sent on a connection.
    pub(in crate::ws) fn outgoing(&self, opened: &Opened) -> Option<Arc<Outgoing>> {
        let plan = self.out.as_ref()?;
        Some(Arc::new(Outgoing::new(plan.clone(), opened.out.clone(), self.kind)))
    }
}
