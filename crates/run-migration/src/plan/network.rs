//! Where a migration's task runs. Pure.

use common::aws::{Network, Service};
use common::failure::Failure;

use crate::config::Placement;

/// The service's own network, as far as the inputs do not say otherwise. `None` outside of `awsvpc`.
pub(super) fn network(service: &Service, placement: &Placement) -> Result<Option<Network>, Failure> {
    let texts = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let subnets = placement.subnets.as_ref().map(|ids| texts(ids.iter().map(AsRef::as_ref).collect()));
    let groups = placement.security_groups.as_ref().map(|ids| texts(ids.iter().map(AsRef::as_ref).collect()));
    let Placement { assign_public_ip, .. } = placement;
    match (&service.network, subnets) {
        (Some(network), subnets) => Ok(Some(Network {
            subnets: subnets.unwrap_or_else(|| network.subnets.clone()),
            security_groups: groups.unwrap_or_else(|| network.security_groups.clone()),
            assign_public_ip: assign_public_ip.or(network.assign_public_ip),
        })),
        (None, Some(subnets)) => Ok(Some(Network {
            subnets,
            security_groups: groups.unwrap_or_default(),
            assign_public_ip: *assign_public_ip,
        })),
        (None, None) if groups.is_some() || assign_public_ip.is_some() => {
            Err(Failure::input(format!("service `{}` has no network of its own to take subnets from", service.name))
                .hint("set the input `subnets` too"))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_the_services_unless_the_inputs_say_otherwise() {
        let of_service = Network {
            subnets: vec!["subnet-00000001".into()],
            security_groups: vec!["sg-00000001".into()],
            assign_public_ip: Some(false),
        };
        let service = |network| Service {
            name: "auth".into(),
            status: "ACTIVE".into(),
            task_definition: "auth:1".into(),
            network,
            launch_type: Some("FARGATE".into()),
            ..Service::default()
        };
        let nothing = Placement::default();
        assert_eq!(network(&service(Some(of_service.clone())), &nothing).unwrap(), Some(of_service.clone()));
        assert_eq!(network(&service(None), &nothing).unwrap(), None);
        let public = Placement { assign_public_ip: Some(true), ..Placement::default() };
        let expected = Network { assign_public_ip: Some(true), ..of_service.clone() };
        assert_eq!(network(&service(Some(of_service.clone())), &public).unwrap(), Some(expected));
        assert!(network(&service(None), &public).is_err());
        let elsewhere = Placement { subnets: Some(vec!["subnet-00000002".parse().unwrap()]), ..Placement::default() };
        let expected = Network { subnets: vec!["subnet-00000002".into()], ..of_service.clone() };
        assert_eq!(network(&service(Some(of_service)), &elsewhere).unwrap(), Some(expected));
    }
}
