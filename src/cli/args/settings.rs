//! Loads the settings of a command from the file, the environment and the flags.

use std::path::PathBuf;

use clap::Args;
use resized::config::{CliOverrides, Config, Layers};

/// Flags for settings, accepted before and after the command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub(in crate::cli) struct Flags {
    /// Configuration file; by default config.toml in the working directory, if it exists
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to serve on (server.listen)
    #[arg(short, long, global = true, value_name = "IP:PORT")]
    listen: Option<String>,
    /// Address of the admin listener; "" disables it (admin.listen)
    #[arg(long, global = true, value_name = "IP:PORT")]
    admin_listen: Option<String>,
    /// Store of the originals: file:DIRECTORY or s3://BUCKET/PREFIX (originals.store)
    #[arg(long, global = true, value_name = "STORE")]
    originals: Option<String>,
    /// Store of the variants (variants.store)
    #[arg(long, global = true, value_name = "STORE")]
    variants: Option<String>,
    /// error, warn, info, debug or trace (log.level)
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Any setting by its name: --set cache.memory=1GiB
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

/// The configuration and its sources.
pub(in crate::cli) struct Settings {
    pub(in crate::cli) config: Config,
    pub(in crate::cli) layers: Layers,
    /// Values from the command line.
    pub(in crate::cli) overrides: CliOverrides,
    /// `None` if there is no configuration file.
    pub(in crate::cli) file: Option<PathBuf>,
}

impl Settings {
    pub(in crate::cli) fn load(flags: &Flags) -> anyhow::Result<Self> {
        let default_file = PathBuf::from("config.toml");
        let file = flags.config.clone().or_else(|| default_file.exists().then_some(default_file));
        let overrides = flags.overrides();
        let layers = Layers::load(file.as_deref(), &overrides)?;
        Ok(Self { config: layers.config()?, layers, overrides, file })
    }
}

impl Flags {
    fn overrides(&self) -> CliOverrides {
        let mut overrides = CliOverrides::default();
        self.set.iter().for_each(|(key, value)| overrides.set(key, value));
        let named = [
            ("server.listen", &self.listen),
            ("admin.listen", &self.admin_listen),
            ("originals.store", &self.originals),
            ("variants.store", &self.variants),
            ("log.level", &self.log_level),
        ];
        for (key, value) in named {
            value.iter().for_each(|value| overrides.set(key, value));
        }
        overrides
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("the format is KEY=VALUE, for example cache.memory=1GiB")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
