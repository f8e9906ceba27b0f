// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./App.sol";

struct KmsInfo {
    bytes k256Pubkey;
    bytes caPubkey;
    bytes quote;
    bytes eventlog;
}

// DstackKms as of 0.5.4 to 0.5.8.
abstract contract KmsBase is Ownable {
    event AppDeployedViaFactory(address indexed appId, address indexed deployer);
    event AppRegistered(address appId);
    event AppImplementationSet(address implementation);
    event KmsInfoSet(bytes k256Pubkey);
    event GatewayAppIdSet(string gatewayAppId);
    event KmsAggregatedMrAdded(bytes32 mrAggregated);
    event KmsAggregatedMrRemoved(bytes32 mrAggregated);
    event KmsDeviceAdded(bytes32 deviceId);
    event KmsDeviceRemoved(bytes32 deviceId);
    event OsImageHashAdded(bytes32 osImageHash);
    event OsImageHashRemoved(bytes32 osImageHash);

    KmsInfo public kmsInfo;
    string public gatewayAppId;
    address public appImplementation;
    mapping(address => bool) public registeredApps;
    mapping(bytes32 => bool) public allowedOsImages;
    mapping(bytes32 => bool) public kmsAllowedAggregatedMrs;
    mapping(bytes32 => bool) public kmsAllowedDeviceIds;

    function initialize(address initialOwner, address appImplementation_) external initializer {
        require(initialOwner != address(0), "Invalid owner address");
        setOwner(initialOwner);
        appImplementation = appImplementation_;
        emit AppImplementationSet(appImplementation_);
    }

    function registerApp(address appId) public {
        require(appId != address(0), "Invalid app ID");
        registeredApps[appId] = true;
        emit AppRegistered(appId);
        policyChanged("registered-app", padded(appId), true);
    }

    function deploy(address initialOwner, bytes memory init) internal returns (address appId) {
        require(appImplementation != address(0), "DstackApp implementation not set");
        require(initialOwner != address(0), "Invalid owner address");
        appId = address(new Proxy(appImplementation, init));
        registerApp(appId);
        emit AppDeployedViaFactory(appId, msg.sender);
    }

    function setKmsInfo(KmsInfo memory info) external onlyOwner {
        kmsInfo = info;
        emit KmsInfoSet(info.k256Pubkey);
        policyChanged("kms-info", keccak256(info.k256Pubkey), true);
    }

    function setKmsQuote(bytes memory quote) external onlyOwner {
        kmsInfo.quote = quote;
    }

    function setKmsEventlog(bytes memory eventlog) external onlyOwner {
        kmsInfo.eventlog = eventlog;
    }

    function setGatewayAppId(string memory appId) external onlyOwner {
        gatewayAppId = appId;
        emit GatewayAppIdSet(appId);
        policyChanged("gateway-app-id", keccak256(bytes(appId)), true);
    }

    function setAppImplementation(address implementation) external onlyOwner {
        require(implementation != address(0), "Invalid implementation address");
        appImplementation = implementation;
        emit AppImplementationSet(implementation);
        policyChanged("app-implementation", padded(implementation), true);
    }

    function addKmsAggregatedMr(bytes32 mrAggregated) external onlyOwner {
        kmsAllowedAggregatedMrs[mrAggregated] = true;
        emit KmsAggregatedMrAdded(mrAggregated);
        policyChanged("kms-aggregated-mr", mrAggregated, true);
    }

    function removeKmsAggregatedMr(bytes32 mrAggregated) external onlyOwner {
        kmsAllowedAggregatedMrs[mrAggregated] = false;
        emit KmsAggregatedMrRemoved(mrAggregated);
        policyChanged("kms-aggregated-mr", mrAggregated, false);
    }

    function addKmsDevice(bytes32 deviceId) external onlyOwner {
        kmsAllowedDeviceIds[deviceId] = true;
        emit KmsDeviceAdded(deviceId);
        policyChanged("kms-device", deviceId, true);
    }

    function removeKmsDevice(bytes32 deviceId) external onlyOwner {
        kmsAllowedDeviceIds[deviceId] = false;
        emit KmsDeviceRemoved(deviceId);
        policyChanged("kms-device", deviceId, false);
    }

    function addOsImageHash(bytes32 osImageHash) external onlyOwner {
        allowedOsImages[osImageHash] = true;
        emit OsImageHashAdded(osImageHash);
        policyChanged("os-image", osImageHash, true);
    }

    function removeOsImageHash(bytes32 osImageHash) external onlyOwner {
        allowedOsImages[osImageHash] = false;
        emit OsImageHashRemoved(osImageHash);
        policyChanged("os-image", osImageHash, false);
    }

    function isAppAllowed(AppBootInfo calldata info) external view returns (bool, string memory) {
        if (!registeredApps[info.appId]) return (false, "App not registered");
        if (!allowedOsImages[info.osImageHash]) return (false, "OS image is not allowed");
        if (info.appId.code.length == 0) return (false, "App not deployed or invalid address");
        return IAppAuth(info.appId).isAppAllowed(info);
    }

    function isKmsAllowed(AppBootInfo calldata info) external view returns (bool, string memory) {
        if (keccak256(bytes(info.tcbStatus)) != keccak256("UpToDate")) return (false, "TCB status is not up to date");
        if (!allowedOsImages[info.osImageHash]) return (false, "OS image is not allowed");
        if (!kmsAllowedAggregatedMrs[info.mrAggregated]) return (false, "Aggregated MR not allowed");
        if (!kmsAllowedDeviceIds[info.deviceId]) return (false, "KMS is not allowed to boot on this device");
        return (true, "");
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x01ffc9a7 || id == 0x1e079198;
    }

    function padded(address a) private pure returns (bytes32) {
        return bytes32(uint256(uint160(a)));
    }

    function authorizeUpgrade(address newImplementation) internal override onlyOwner {
        policyChanged("implementation-upgrade", padded(newImplementation), true);
    }
}

// The factory with five arguments, which every release has.
abstract contract KmsPlain is KmsBase {
    function deployAndRegisterApp(address initialOwner, bool noUpgrades, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) external returns (address) {
        return deploy(initialOwner, abi.encodeWithSignature(
            "initialize(address,bool,bool,bytes32,bytes32)", initialOwner, noUpgrades, allowAnyDevice, deviceId, composeHash));
    }
}

contract DstackKms054 is KmsPlain {}

// What 0.5.9 added: the factory with the demand for an up-to-date TCB.
abstract contract KmsTCB is KmsBase {
    function deployAndRegisterApp(address initialOwner, bool noUpgrades, bool requireTcb, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) external returns (address) {
        return deploy(initialOwner, abi.encodeWithSignature(
            "initialize(address,bool,bool,bool,bytes32,bytes32)", initialOwner, noUpgrades, requireTcb, allowAnyDevice, deviceId, composeHash));
    }
}

// A commit between releases had the new factory only.
contract DstackKmsSix is KmsTCB {}

contract DstackKms059 is KmsPlain, KmsTCB {}

// Between 0.5.11 and the audit events: two-step ownership.
abstract contract KmsTwoStep is KmsPlain, KmsTCB, Ownable2Step {
    function transferOwnership(address newOwner) public virtual override(Ownable, Ownable2Step) {
        Ownable2Step.transferOwnership(newOwner);
    }

    function setOwner(address newOwner) internal virtual override(Ownable, Ownable2Step) {
        Ownable2Step.setOwner(newOwner);
    }
}

contract DstackKms0511 is KmsTwoStep {}

contract DstackKmsHead is KmsTwoStep, Audited {
    function transferOwnership(address newOwner) public override(Ownable, KmsTwoStep) {
        KmsTwoStep.transferOwnership(newOwner);
    }

    function setOwner(address newOwner) internal override(Ownable, KmsTwoStep) {
        KmsTwoStep.setOwner(newOwner);
    }

    function policyChanged(string memory policy, bytes32 value, bool enabled) internal override(Ownable, Audited) {
        Audited.policyChanged(policy, value, enabled);
    }
}
