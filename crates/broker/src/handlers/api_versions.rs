//! ApiVersions (KIP-35): which APIs there are, in which versions.

use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::protocol::StrBytes;

use crate::api::{API_VERSIONS, APIS};
use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};
use crate::response::ResponseHead;

/// Features of the whole cluster (KIP-584): name, smallest and largest level. The largest
/// is in force, always.
const FEATURES: &[(&str, i16, i16)] = &[
    // Consumer groups (KIP-848).
    ("group.version", 0, 1),
    // Transactions whose every end raises the epoch, and produce requests that add
    // partitions (KIP-890).
    ("transaction.version", 0, 2),
];
/// First version of the answer in which a smallest level of 0 does not confuse clients
/// (KAFKA-17011).
const LEVEL_0_SINCE: i16 = 4;

/// Needs no authorization: clients ask before they authenticate.
pub(crate) async fn handle(
    context: RequestContext,
    request: ApiVersionsRequest,
) -> Result<Answer, RequestError> {
    if context.version() >= 3 {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        tracing::debug!(peer = %context.client.peer, %name, %version, "client");
    }
    let response = ApiVersionsResponse::default().with_error_code(NONE).with_api_keys(all());
    context.answer(&if context.version() >= 3 {
        with_features(response, context.version())
    } else {
        response
    })
}

fn with_features(response: ApiVersionsResponse, version: i16) -> ApiVersionsResponse {
    let told = |smallest: i16| smallest > 0 || version >= LEVEL_0_SINCE;
    let supported = FEATURES.iter().filter(|(_, smallest, _)| told(*smallest)).map(
        |(name, smallest, largest)| {
            SupportedFeatureKey::default()
                .with_name(StrBytes::from_static_str(name))
                .with_min_version(*smallest)
                .with_max_version(*largest)
        },
    );
    let finalized = FEATURES.iter().map(|(name, _, largest)| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_version_level(*largest)
            .with_max_version_level(*largest)
    });
    response
        .with_supported_features(supported.collect())
        .with_finalized_features_epoch(0)
        .with_finalized_features(finalized.collect())
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
