// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Wallet is an owner that is a contract, as a Safe is: several accounts approve a batch of calls, and when enough of
// them have, anybody executes it, all or nothing.
contract Wallet {
    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    event Approved(bytes32 indexed batch, address indexed owner);
    event Executed(bytes32 indexed batch);

    mapping(address => bool) public isOwner;
    uint256 public threshold;
    uint256 public nonce;
    mapping(bytes32 => mapping(address => bool)) private approvedBy;
    mapping(bytes32 => uint256) public approvals;

    constructor(address[] memory owners, uint256 threshold_) {
        for (uint256 i = 0; i < owners.length; i++) {
            require(owners[i] != address(0) && !isOwner[owners[i]], "invalid owner");
            isOwner[owners[i]] = true;
        }
        require(threshold_ > 0 && threshold_ <= owners.length, "invalid threshold");
        threshold = threshold_;
    }

    receive() external payable {}

    // The nonce keeps a batch from being executed twice by the same approvals.
    function hashOf(Call[] calldata calls) public view returns (bytes32) {
        return keccak256(abi.encode(address(this), block.chainid, nonce, calls));
    }

    function approve(bytes32 batch) external {
        require(isOwner[msg.sender], "not an owner");
        require(!approvedBy[batch][msg.sender], "approved already");
        approvedBy[batch][msg.sender] = true;
        approvals[batch]++;
        emit Approved(batch, msg.sender);
    }

    function execute(Call[] calldata calls) external {
        bytes32 batch = hashOf(calls);
        require(approvals[batch] >= threshold, "not enough approvals");
        nonce++;
        for (uint256 i = 0; i < calls.length; i++) {
            (bool ok, bytes memory result) = calls[i].to.call{value: calls[i].value}(calls[i].data);
            if (!ok) {
                assembly {
                    revert(add(result, 32), mload(result))
                }
            }
        }
        emit Executed(batch);
    }
}
