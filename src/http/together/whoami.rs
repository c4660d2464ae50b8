//! Who the asker is, in the words of Together's CLI, which asks before each command (CONTRACT §2.4).

use serde::Serialize;
use utoipa::ToSchema;

/// What we call the organization and the project, of which we have no more than one.
const US: &str = "remedyd";

/// The owner of the token.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct WhoAmI<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    api_key: Key<'a>,
    organization: Organization,
    project: Project,
}

/// The token.
#[derive(Serialize, ToSchema)]
#[schema(as = WhoAmIKey)]
struct Key<'a> {
    /// Its name; `local` where no tokens are configured.
    id: &'a str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WhoAmIOrganization)]
struct Organization {
    id: &'static str,
    name: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WhoAmIProject)]
struct Project {
    id: &'static str,
    name: &'static str,
    slug: &'static str,
}

impl<'a> WhoAmI<'a> {
    /// The holder of the token of that name.
    pub(super) fn new(token: &'a str) -> Self {
        Self {
            kind: "project_api_key",
            api_key: Key { id: token },
            organization: Organization { id: US, name: US },
            project: Project { id: US, name: US, slug: US },
        }
    }
}

/// The owner of the token, as older clients read it.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct FlatWhoAmI<'a> {
    /// Its name; `local` where no tokens are configured.
    api_key_id: &'a str,
    organization_id: &'static str,
    organization_name: &'static str,
    project_id: &'static str,
    project_name: &'static str,
    project_slug: &'static str,
}

impl<'a> FlatWhoAmI<'a> {
    /// The holder of the token of that name.
    pub(super) fn new(token: &'a str) -> Self {
        Self {
            api_key_id: token,
            organization_id: US,
            organization_name: US,
            project_id: US,
            project_name: US,
            project_slug: US,
        }
    }
}
