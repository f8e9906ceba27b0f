// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// What the app and KMS contracts of every generation inherit: the documented behaviour of OpenZeppelin's
// upgradeable contracts as seen from outside (functions, events, errors), with a storage of our own.

struct AppBootInfo {
    address appId;
    bytes32 composeHash;
    address instanceId;
    bytes32 deviceId;
    bytes32 mrAggregated;
    bytes32 mrSystem;
    bytes32 osImageHash;
    string tcbStatus;
    string[] advisoryIds;
}

interface IAppAuth {
    function isAppAllowed(AppBootInfo calldata bootInfo) external view returns (bool, string memory);
}

bytes32 constant IMPLEMENTATION_SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

// Proxy holds the storage of a contract and borrows its code from an implementation (ERC-1967).
contract Proxy {
    event Upgraded(address indexed implementation);

    constructor(address implementation, bytes memory init) payable {
        assembly {
            sstore(IMPLEMENTATION_SLOT, implementation)
        }
        emit Upgraded(implementation);
        (bool ok, bytes memory result) = implementation.delegatecall(init);
        if (!ok) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
    }

    fallback() external payable {
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), sload(IMPLEMENTATION_SLOT), 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch ok
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}

abstract contract Upgradeable {
    event Upgraded(address indexed implementation);
    event Initialized(uint64 version);

    error AddressEmptyCode(address target);
    error ERC1967InvalidImplementation(address implementation);
    error ERC1967NonPayable();
    error FailedCall();
    error InvalidInitialization();
    error NotInitializing();
    error UUPSUnauthorizedCallContext();
    error UUPSUnsupportedProxiableUUID(bytes32 slot);

    string public constant UPGRADE_INTERFACE_VERSION = "5.0.0";
    address private immutable self = address(this);
    bool private initialized;

    modifier initializer() {
        if (initialized || address(this) == self) revert InvalidInitialization();
        initialized = true;
        _;
        emit Initialized(1);
    }

    function proxiableUUID() external view returns (bytes32) {
        if (address(this) != self) revert UUPSUnauthorizedCallContext();
        return IMPLEMENTATION_SLOT;
    }

    function upgradeToAndCall(address newImplementation, bytes memory data) external payable {
        if (address(this) == self) revert UUPSUnauthorizedCallContext();
        authorizeUpgrade(newImplementation);
        if (newImplementation.code.length == 0) revert ERC1967InvalidImplementation(newImplementation);
        try Upgradeable(newImplementation).proxiableUUID() returns (bytes32 slot) {
            if (slot != IMPLEMENTATION_SLOT) revert UUPSUnsupportedProxiableUUID(slot);
        } catch {
            revert ERC1967InvalidImplementation(newImplementation);
        }
        assembly {
            sstore(IMPLEMENTATION_SLOT, newImplementation)
        }
        emit Upgraded(newImplementation);
        if (data.length == 0) {
            if (msg.value != 0) revert ERC1967NonPayable();
            return;
        }
        (bool ok, bytes memory result) = newImplementation.delegatecall(data);
        if (!ok && result.length == 0) revert FailedCall();
        if (!ok) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
    }

    function authorizeUpgrade(address newImplementation) internal virtual;
}

// Ownable hands its ownership over at once, as the contracts up to 0.5.11 do.
abstract contract Ownable is Upgradeable {
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

    error OwnableUnauthorizedAccount(address account);
    error OwnableInvalidOwner(address owner);

    address public owner;

    modifier onlyOwner() {
        if (msg.sender != owner) revert OwnableUnauthorizedAccount(msg.sender);
        _;
    }

    function transferOwnership(address newOwner) public virtual onlyOwner {
        if (newOwner == address(0)) revert OwnableInvalidOwner(newOwner);
        setOwner(newOwner);
    }

    function renounceOwnership() external onlyOwner {
        setOwner(address(0));
    }

    function setOwner(address newOwner) internal virtual {
        emit OwnershipTransferred(owner, newOwner);
        owner = newOwner;
    }

    // The audit event that the newest generation adds to each change.
    function policyChanged(string memory policy, bytes32 value, bool enabled) internal virtual {}
}

// Ownable2Step only nominates; the new owner has to accept.
abstract contract Ownable2Step is Ownable {
    event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);

    address public pendingOwner;

    function transferOwnership(address newOwner) public virtual override onlyOwner {
        pendingOwner = newOwner;
        emit OwnershipTransferStarted(owner, newOwner);
    }

    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert OwnableUnauthorizedAccount(msg.sender);
        setOwner(msg.sender);
    }

    function setOwner(address newOwner) internal virtual override {
        delete pendingOwner;
        super.setOwner(newOwner);
    }
}

// Audited emits the audit event.
abstract contract Audited is Ownable {
    event PolicyChanged(address indexed actor, bytes32 indexed policy, bytes32 indexed value, bool enabled);

    function policyChanged(string memory policy, bytes32 value, bool enabled) internal virtual override {
        emit PolicyChanged(msg.sender, keccak256(bytes(policy)), value, enabled);
    }
}
