"""What both clouds must agree on: packaged into every deployable, standard library only.

What an adopter may rely on, as `tests/contract/test_public_surface.py` holds it:

    clock.Clock                       what code asks for the time
    clock.SystemClock                 the machine's own clock
    contract.ApiIdentity              one API as Entra ID knows it: issuer, audiences, scope
    contract.read_api_identity        reads it from the settings that both clouds share
    entra.Cloud                       one of Entra ID's clouds
    entra.TokenVersion                the versions of Entra ID's access tokens
    log.JsonLines                     formats log records as JSON, with tokens taken out
    log.log_event                     writes one log line with fields
    principal.Principal               a caller whose token has been verified
    principal.PrincipalMissingError   no authorizer stood in front of the call
    principal.parse_context           reads the principal from the authorizer context
    reasons.Reason                    why the authorizer decided as it did, and what to change
    routes.Role                       the app roles of the API
    routes.Route                      one method on one path, with the role that opens it
    settings_reader.Setting           one declared setting
    settings_reader.SettingProblem    what is wrong with one setting
    settings_reader.SettingsError     everything that is wrong with the settings
    settings_reader.SettingsReader    reads settings, and collects what is wrong with them
    settings_reader.reading_settings  gives a block a reader, and raises its problems together

Nothing is imported here: a cold start pays only for what it uses.
"""
