//! The resource `virtual-services`.

use axum::extract::RawPathParams;

use super::resource::Resource;
use crate::domain::VirtualService;

impl Resource for VirtualService {
    const COLLECTION: &'static str = "/api/v1/virtual-services";
    const NAME: &'static str = "VirtualService";
    const NAMES: &'static str = "VirtualServices";
    const TAG: &'static str = "virtual-services";

    fn parent(_parameters: &RawPathParams) -> Option<()> {
        Some(())
    }

    fn collection((): ()) -> String {
        Self::COLLECTION.to_owned()
    }
}
