//! Functions that tools call without a relation, such as `version()`.

use super::super::error::Result;
use super::super::relations::CatalogInfo;
use super::super::settings::SERVER_VERSION;
use super::rows::oid_of;
use super::{Asker, unsupported};

/// What functions answer.
pub(super) struct Facts<'a> {
    info: &'a dyn CatalogInfo,
    asker: &'a Asker<'a>,
}

/// Functions without arguments, in canonical form.
const PLAIN: [&str; 11] = [
    "version()",
    "current_schema()",
    "current_schema",
    "current_database()",
    "current_catalog",
    "current_user",
    "session_user",
    "user",
    "pg_backend_pid()",
    "pg_is_in_recovery()",
    "inet_server_addr()",
];

/// Functions with arguments: how they begin.
const WITH_ARGUMENTS: [&str; 3] = ["current_setting('", "pg_get_viewdef('", "set_config('"];

/// Whether an expression is one of these functions.
pub(super) fn is_function(expression: &str) -> bool {
    PLAIN.contains(&expression) || WITH_ARGUMENTS.iter().any(|start| expression.starts_with(start))
}

impl<'a> Facts<'a> {
    pub(super) fn new(info: &'a dyn CatalogInfo, asker: &'a Asker<'a>) -> Self {
        Self { info, asker }
    }

    /// Who asks.
    pub(super) fn user(&self) -> &str {
        self.asker.user
    }

    /// The value of a function.
    pub(super) fn value(&self, expression: &str) -> Result<Option<String>> {
        let argument = expression.split('\'').nth(1).unwrap_or_default();
        Ok(match expression {
            "version()" => Some(format!("PostgreSQL {SERVER_VERSION}")),
            "current_schema()" | "current_schema" => Some(self.info.current_schema()),
            "current_database()" | "current_catalog" => Some(self.info.database()),
            "current_user" | "session_user" | "user" => Some(self.asker.user.to_owned()),
            "pg_backend_pid()" => Some(self.asker.pid.to_string()),
            "pg_is_in_recovery()" => Some("f".to_owned()),
            "inet_server_addr()" => None,
            _ if expression.starts_with("current_setting('") => {
                let setting = self.asker.settings.get(argument).map(|(_, value)| value.to_owned());
                Some(setting.ok_or_else(|| unsupported(expression))?)
            }
            _ if expression.starts_with("pg_get_viewdef('") => self
                .info
                .relations()
                .into_iter()
                .find(|relation| oid_of(&relation.schema_name, &relation.name) == argument)
                .and_then(|relation| relation.definition),
            _ => return Err(unsupported(expression)),
        })
    }

    /// Constants that stand among a relation's columns.
    pub(super) fn constant(&self, expression: &str) -> Option<Option<String>> {
        match expression {
            "null" => Some(None),
            "true" => Some(Some("t".to_owned())),
            "false" => Some(Some("f".to_owned())),
            _ if PLAIN.contains(&expression) => self.value(expression).ok(),
            _ => {
                if expression.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Some(Some(expression.to_owned()));
                }
                let inner = expression.strip_prefix('\'')?.strip_suffix('\'')?;
                (!inner.contains('\'')).then(|| Some(inner.to_owned()))
            }
        }
    }
}
