//! ApiVersions (KIP-35): which APIs there are, in which versions.

use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};

use crate::api::{API_VERSIONS, APIS};
use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};
use crate::response::ResponseHead;

/// Needs no authorization: clients ask before they authenticate.
pub(crate) async fn handle(
    context: RequestContext,
    request: ApiVersionsRequest,
) -> Result<Answer, RequestError> {
    if context.version() >= 3 {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        tracing::debug!(peer = %context.client.peer, %name, %version, "client");
    }
    context.answer(&ApiVersionsResponse::default().with_error_code(NONE).with_api_keys(all()))
}

/// The answer to a version that is not known: in version 0, which every client reads,
/// with the range that is (KIP-511).
pub(crate) fn unsupported(correlation_id: i32) -> Result<Answer, RequestError> {
    let own = all().into_iter().filter(|api| api.api_key == API_VERSIONS).collect();
    let response = ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(own);
    Ok(Answer::Now(ResponseHead { correlation_id, version: 0 }.encode(&response)?))
}

fn all() -> Vec<ApiVersion> {
    let row = |api: &crate::api::Api| {
        ApiVersion::default()
            .with_api_key(api.key)
            .with_min_version(api.min_version)
            .with_max_version(api.max_version)
    };
    APIS.iter().map(row).collect()
}
