//! From names to parts.

use std::sync::Arc;

use tremor_value::Value;

use crate::config::{Config, nearest};
use crate::{
    Codec, ConfigError, Decoder, Definition, Encoder, Given, Make, NameAndConfig, Postprocessor,
    Preprocessor, Spec, codecs, postprocessors, preprocessors,
};

/// The parts that definitions may name. Handed to whoever needs it; nothing is process-wide.
#[derive(Clone, Default)]
pub struct Registry {
    codecs: Vec<&'static Spec<dyn Codec>>,
    preprocessors: Vec<&'static Spec<dyn Preprocessor>>,
    postprocessors: Vec<&'static Spec<dyn Postprocessor>>,
}

impl Registry {
    /// All parts of this crate.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            codecs: codecs::ALL.to_vec(),
            preprocessors: preprocessors::ALL.to_vec(),
            postprocessors: postprocessors::ALL.to_vec(),
        }
    }

    /// The codecs, in the order of the reference.
    #[must_use]
    pub fn codecs(&self) -> &[&'static Spec<dyn Codec>] {
        &self.codecs
    }

    /// The preprocessors, in the order of the reference.
    #[must_use]
    pub fn preprocessors(&self) -> &[&'static Spec<dyn Preprocessor>] {
        &self.preprocessors
    }

    /// The postprocessors, in the order of the reference.
    #[must_use]
    pub fn postprocessors(&self) -> &[&'static Spec<dyn Postprocessor>] {
        &self.postprocessors
    }

    /// Adds a codec.
    pub fn add_codec(&mut self, spec: &'static Spec<dyn Codec>) {
        self.codecs.push(spec);
    }

    /// Checks all names and configs of a definition.
    ///
    /// # Errors
    /// The first thing that is wrong with it: see [`ConfigError`].
    pub fn resolver(&self, definition: &Definition) -> Result<Resolver, ConfigError> {
        let codec = self.codec(&definition.codec)?;
        let preprocessors = definition.preprocessors.iter().map(|stage| self.preprocessor(stage));
        let preprocessors = preprocessors.collect::<Result<_, _>>()?;
        let postprocessors = definition.postprocessors.iter().map(|stage| self.postprocessor(stage));
        let postprocessors = postprocessors.collect::<Result<_, _>>()?;
        Ok(Resolver { parts: Arc::new(Parts { codec, preprocessors, postprocessors }), owner: None })
    }

    /// Checks name and config of a codec alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_codec(&self, given: &NameAndConfig) -> Result<(), ConfigError> {
        self.codec(given).map(|_make| ())
    }

    /// Checks name and config of a preprocessor alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_preprocessor(&self, given: &NameAndConfig) -> Result<(), ConfigError> {
        self.preprocessor(given).map(|_make| ())
    }

    /// Checks name and config of a postprocessor alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_postprocessor(&self, given: &NameAndConfig) -> Result<(), ConfigError> {
        self.postprocessor(given).map(|_make| ())
    }

    /// Whether `given` says something in its configuration to a codec that takes none, and ignores it.
    #[must_use]
    pub fn ignores_config_of(&self, given: &NameAndConfig) -> bool {
        let says =
            |config: &Value| !config.is_null() && config.as_record().is_none_or(|record| !record.is_empty());
        given.config.as_ref().is_some_and(says)
            && find(&self.codecs, &given.name).is_some_and(|spec| spec.fields.is_empty())
    }

    fn codec(&self, given: &NameAndConfig) -> Result<Make<dyn Codec>, ConfigError> {
        let name = given.name.to_string();
        let Some(spec) = find(&self.codecs, &name) else {
            return Err(ConfigError::UnknownCodec { advice: advise(&self.codecs, &name), name });
        };
        // A codec that takes no configuration ignores one (`spec/codecs.md` A.1).
        let config = given.config.as_ref().filter(|_| !spec.fields.is_empty());
        let given = check(spec, &name, config)?;
        (spec.build)(&given).map_err(|cause| ConfigError::Codec { name: name.clone(), cause })
    }

    pub(crate) fn preprocessor(&self, given: &NameAndConfig) -> Result<Make<dyn Preprocessor>, ConfigError> {
        let name = given.name.to_string();
        let Some(spec) = find(&self.preprocessors, &name) else {
            let advice = advise(&self.preprocessors, &name);
            return Err(ConfigError::UnknownPreprocessor { advice, name });
        };
        let given = check(spec, &name, given.config.as_ref())?;
        (spec.build)(&given).map_err(|cause| ConfigError::Invalid { name: name.clone(), cause })
    }

    pub(crate) fn postprocessor(
        &self,
        given: &NameAndConfig,
    ) -> Result<Make<dyn Postprocessor>, ConfigError> {
        let name = given.name.to_string();
        let Some(spec) = find(&self.postprocessors, &name) else {
            let advice = advise(&self.postprocessors, &name);
            return Err(ConfigError::UnknownPostprocessor { advice, name });
        };
        let given = check(spec, &name, given.config.as_ref())?;
        (spec.build)(&given).map_err(|cause| ConfigError::Invalid { name: name.clone(), cause })
    }
}

fn find<P: ?Sized>(specs: &[&'static Spec<P>], name: &str) -> Option<&'static Spec<P>> {
    specs.iter().find(|spec| spec.name == name || spec.aliases.contains(&name)).copied()
}

/// What to write in place of `name`.
fn advise<P: ?Sized>(specs: &[&'static Spec<P>], name: &str) -> String {
    let names = specs.iter().flat_map(|spec| std::iter::once(spec.name).chain(spec.aliases.iter().copied()));
    if let Some(near) = nearest(name, names) {
        return format!("Did you mean `{near}`?");
    }
    let all: Vec<String> = specs.iter().map(|spec| format!("`{}`", spec.name)).collect();
    format!("There are {}.", all.join(", "))
}

fn check<'a, P: ?Sized>(
    spec: &Spec<P>,
    name: &'a str,
    config: Option<&'a Value>,
) -> Result<Given<'a>, ConfigError> {
    if config.is_none() && spec.fields.iter().any(|field| field.default.is_none()) {
        return Err(ConfigError::Missing { name: name.to_owned() });
    }
    let is_name_only = config.is_none();
    let config = Config::check(config, spec.fields)
        .map_err(|cause| ConfigError::Invalid { name: name.to_owned(), cause })?;
    Ok(Given { name, is_name_only, config })
}

/// A checked definition, from which every stream gets decoders and encoders of its own. Cloning is cheap.
#[derive(Clone)]
pub struct Resolver {
    parts: Arc<Parts>,
    /// Whom log lines name.
    owner: Option<Arc<str>>,
}

struct Parts {
    codec: Make<dyn Codec>,
    preprocessors: Vec<Make<dyn Preprocessor>>,
    postprocessors: Vec<Make<dyn Postprocessor>>,
}

impl Resolver {
    /// The same for connector `alias` (`<flow>::<connector>`): log lines about its data name it.
    #[must_use]
    pub fn owned_by(self, alias: &str) -> Self {
        Self { owner: Some(alias.into()), ..self }
    }

    /// A decoder with no state yet.
    #[must_use]
    pub fn decoder(&self) -> Decoder {
        let stages = self.parts.preprocessors.iter().map(|make| make()).collect();
        Decoder::new(stages, (self.parts.codec)()).owned_by(self.owner.clone())
    }

    /// An encoder with no state yet.
    #[must_use]
    pub fn encoder(&self) -> Encoder {
        let stages = self.parts.postprocessors.iter().map(|make| make()).collect();
        Encoder::new((self.parts.codec)(), stages)
    }

    /// A codec alone, with no state yet.
    #[must_use]
    pub fn codec(&self) -> Box<dyn Codec> {
        (self.parts.codec)()
    }

    /// The same processors around the codec of another definition: for input that names its own codec.
    #[must_use]
    pub fn with_codec_of(&self, other: &Self) -> Self {
        let parts = Parts {
            codec: Arc::clone(&other.parts.codec),
            preprocessors: self.parts.preprocessors.clone(),
            postprocessors: self.parts.postprocessors.clone(),
        };
        Self { parts: Arc::new(parts), owner: self.owner.clone() }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Resolver").finish_non_exhaustive()
    }
}
