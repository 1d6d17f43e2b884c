"""One sitting of a campaign on a rig: begun, resumed, replayed."""
