// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

// DstackApp as of 0.5.4 to 0.5.8.
abstract contract AppBase is Ownable {
    event ComposeHashAdded(bytes32 composeHash);
    event ComposeHashRemoved(bytes32 composeHash);
    event DeviceAdded(bytes32 deviceId);
    event DeviceRemoved(bytes32 deviceId);
    event AllowAnyDeviceSet(bool allowAny);
    event UpgradesDisabled();

    mapping(bytes32 => bool) public allowedComposeHashes;
    mapping(bytes32 => bool) public allowedDeviceIds;
    bool public allowAnyDevice;
    bool private upgradesDisabled;

    function initialize(address initialOwner, bool noUpgrades, bool anyDevice, bytes32 deviceId, bytes32 composeHash) external initializer {
        setUp(initialOwner, noUpgrades, anyDevice, deviceId, composeHash);
    }

    function setUp(address initialOwner, bool noUpgrades, bool anyDevice, bytes32 deviceId, bytes32 composeHash) internal {
        require(initialOwner != address(0), "invalid owner address");
        upgradesDisabled = noUpgrades;
        allowAnyDevice = anyDevice;
        if (deviceId != 0) setDevice(deviceId);
        if (composeHash != 0) setComposeHash(composeHash);
        setOwner(initialOwner);
    }

    function addComposeHash(bytes32 composeHash) external onlyOwner {
        setComposeHash(composeHash);
    }

    function removeComposeHash(bytes32 composeHash) external onlyOwner {
        allowedComposeHashes[composeHash] = false;
        emit ComposeHashRemoved(composeHash);
        policyChanged("compose-hash", composeHash, false);
    }

    function addDevice(bytes32 deviceId) external onlyOwner {
        setDevice(deviceId);
    }

    function removeDevice(bytes32 deviceId) external onlyOwner {
        allowedDeviceIds[deviceId] = false;
        emit DeviceRemoved(deviceId);
        policyChanged("device", deviceId, false);
    }

    function setAllowAnyDevice(bool allowAny) external onlyOwner {
        allowAnyDevice = allowAny;
        emit AllowAnyDeviceSet(allowAny);
        policyChanged("allow-any-device", 0, allowAny);
    }

    function disableUpgrades() external onlyOwner {
        upgradesDisabled = true;
        emit UpgradesDisabled();
        policyChanged("upgrades-disabled", 0, true);
    }

    function isAppAllowed(AppBootInfo calldata info) external view returns (bool, string memory) {
        if (!tcbAccepted(info.tcbStatus)) return (false, "TCB status is not up to date");
        if (!allowedComposeHashes[info.composeHash]) return (false, "Compose hash not allowed");
        if (!allowAnyDevice && !allowedDeviceIds[info.deviceId]) return (false, "Device not allowed");
        return (true, "");
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x01ffc9a7 || id == 0x1e079198 || id == 0x8fd37527;
    }

    function setComposeHash(bytes32 composeHash) private {
        allowedComposeHashes[composeHash] = true;
        emit ComposeHashAdded(composeHash);
        policyChanged("compose-hash", composeHash, true);
    }

    function setDevice(bytes32 deviceId) private {
        allowedDeviceIds[deviceId] = true;
        emit DeviceAdded(deviceId);
        policyChanged("device", deviceId, true);
    }

    function tcbAccepted(string calldata) internal view virtual returns (bool) {
        return true;
    }

    function authorizeUpgrade(address newImplementation) internal override onlyOwner {
        require(!upgradesDisabled, "Upgrades are permanently disabled");
        policyChanged("implementation-upgrade", bytes32(uint256(uint160(newImplementation))), true);
    }
}

contract DstackApp054 is AppBase {}

// What 0.5.9 added: the demand for an up-to-date TCB, and a version.
abstract contract AppTCB is AppBase {
    event RequireTcbUpToDateSet(bool requireUpToDate);

    bool public requireTcbUpToDate;

    function initialize(address initialOwner, bool noUpgrades, bool requireTcb, bool anyDevice, bytes32 deviceId, bytes32 composeHash) external initializer {
        requireTcbUpToDate = requireTcb;
        setUp(initialOwner, noUpgrades, anyDevice, deviceId, composeHash);
    }

    function version() external pure returns (uint256) {
        return 2;
    }

    function setRequireTcbUpToDate(bool requireUpToDate) external onlyOwner {
        requireTcbUpToDate = requireUpToDate;
        emit RequireTcbUpToDateSet(requireUpToDate);
        policyChanged("require-tcb-up-to-date", 0, requireUpToDate);
    }

    function tcbAccepted(string calldata status) internal view override returns (bool) {
        return !requireTcbUpToDate || keccak256(bytes(status)) == keccak256("UpToDate");
    }
}

contract DstackApp059 is AppTCB {}

// Between 0.5.11 and the audit events: two-step ownership.
abstract contract AppTwoStep is AppTCB, Ownable2Step {
    function transferOwnership(address newOwner) public virtual override(Ownable, Ownable2Step) {
        Ownable2Step.transferOwnership(newOwner);
    }

    function setOwner(address newOwner) internal virtual override(Ownable, Ownable2Step) {
        Ownable2Step.setOwner(newOwner);
    }
}

contract DstackApp0511 is AppTwoStep {}

contract DstackAppHead is AppTwoStep, Audited {
    function transferOwnership(address newOwner) public override(Ownable, AppTwoStep) {
        AppTwoStep.transferOwnership(newOwner);
    }

    function setOwner(address newOwner) internal override(Ownable, AppTwoStep) {
        AppTwoStep.setOwner(newOwner);
    }

    function policyChanged(string memory policy, bytes32 value, bool enabled) internal override(Ownable, Audited) {
        Audited.policyChanged(policy, value, enabled);
    }
}
